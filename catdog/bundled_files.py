"""Where the bundled classifier's numbers lie."""

from catdog.backbone_files import STARTER_FILE

HEAD_FILE = STARTER_FILE.with_name("starter_head.npz")
CENTRES_FILE = STARTER_FILE.with_name("starter_centres.npz")
DESCRIPTION_FILE = STARTER_FILE.with_name("starter_classifier.json")
