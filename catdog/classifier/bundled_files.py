"""Where the numbers of the bundled classifier lie, what is said of it, and the notices of what it is made from."""

from catdog.network.backbone_files import STARTER_FILE

HEAD_FILE = STARTER_FILE.with_name("starter_head.npz")
CENTRES_FILE = STARTER_FILE.with_name("starter_centres.npz")
DESCRIPTION_FILE = STARTER_FILE.with_name("starter_classifier.json")
NOTICE_FILE = STARTER_FILE.with_name("NOTICE.md")
