"""Train a cat-or-dog classifier on data/{train,validation}/{cats,dogs} and save it as cat_dog_classifier.h5."""

import sys

from catdog.__main__ import train_script

if __name__ == "__main__":
    sys.exit(train_script())
