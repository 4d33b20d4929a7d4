"""How it works: transfer learning in five steps, in words and pictures, for people who have never heard of it."""

import streamlit as st

from catdog.figures import decimal, percent
from catdog.pages import diagrams
from catdog.photos.photo_sets import VALIDATION_SHARE
from catdog.places import PAGES
from catdog.settings import FREEZE_DEPTHS, SETTINGS, STAGES, TrainConfig

# Pixels; longer lines are tiring to read.
PAGE_WIDTH, LINE_WIDTH = 1080, 700
# The right share of 2,000 held-out photos by the number of photos learned from: catdog/weights/NOTICE.md.
STARTER_ACCURACY = {50: 0.977, 100: 0.982, 400: 0.984, 2000: 0.988}

defaults = TrainConfig()
frozen_stages = FREEZE_DEPTHS.index(defaults.freeze_depth)


def step(heading: str, explanation: str, here: str, picture: str) -> None:
    """One step: what it is and what it means in this app, with a picture beside it or, on a phone, under it."""
    words, drawing = st.columns(2, gap="medium", vertical_alignment="center")
    with words:
        st.header(heading, anchor=False)
        st.markdown(explanation)
        st.markdown(f"**In Catdog:** {here}")
    # Not st.html, which leaves SVG out.
    drawing.markdown(picture, unsafe_allow_html=True)


def see() -> None:
    """Step 1: the pre-trained network."""
    step(
        "1 Take a network that has learned to see",
        "A neural network is a long chain of simple calculations: a photo goes in, probabilities come out. "
        "**ResNet-50** has learned from ImageNet, 1.2 million photos of 1000 kinds of things, from teapots to tabby "
        "cats. To tell them apart, its first stages came to notice edges and colours, its later ones fur, ears and "
        "faces. These stages are the **backbone**, and what they have learned serves for other photos too.",
        f"the stages are called {STAGES[0]} (the stem) to {STAGES[-1]}. The ImageNet backbone is downloaded once, "
        "94 MB. Where it can't be had, the bundled *starter* of 11 MB steps in: a ResNet-50 of half the width that "
        "knows pets best.",
        diagrams.trained_network(),
    )


def replace() -> None:
    """Step 2: the new head."""
    step(
        "2 Replace its last layer",
        "The last layer, the **head**, turns what the backbone saw into 1000 probabilities, one for each kind of "
        "thing. You have a different question. So the old head goes, and a new one takes its place, with one output "
        "per class. It has learned nothing yet, so it can only guess.",
        "your folders name the classes. A folder *cats* and a folder *dogs* make two outputs; three folders make "
        "three. The last calculation, *softmax*, makes their probabilities add up to 100 %.",
        diagrams.replaced_head(("cats", "dogs")),
    )


def learn() -> None:
    """Step 3: feature extraction and the head's learning."""
    step(
        "3 Freeze the backbone, let the head learn",
        "Frozen means that nothing in it changes. So each photo runs through the backbone only once, which is called "
        "**feature extraction**, and what comes out is kept. From this the head learns: it guesses, compares with the "
        "truth, and shifts a little towards it. How wrong it was is the **loss** (*categorical cross-entropy*), how "
        "far it shifts is the **learning rate**, and once through all photos is an **epoch**.",
        f"{defaults.head_epochs} epochs with the learning rate {decimal(defaults.head_learning_rate)}, on photos of "
        f"{defaults.image_size} x {defaults.image_size} pixels. On two processor cores an epoch over 2,000 photos took "
        "0.15 seconds; with the backbone run anew each time it took 91.",
        diagrams.frozen_backbone(defaults.head_epochs),
    )


def fine_tune() -> None:
    """Step 4: fine-tuning."""
    opened = ", ".join(STAGES[frozen_stages:])
    rate = decimal(defaults.fine_tune_learning_rate)
    epochs = f"*{SETTINGS['fine_tune_epochs'].metadata['label']}* starts at {defaults.fine_tune_epochs}"
    slower = round(defaults.head_learning_rate / defaults.fine_tune_learning_rate)
    step(
        "4 If you like, let the last stage learn too",
        "In **fine-tuning** the last stage thaws and learns along with the head, at a very low learning rate, so that "
        "what it knows is bent and not broken. The **freeze depth** is the last stage that stays frozen. *Batch "
        "normalization*, which keeps the numbers between the layers in range, stays frozen always: it was set by far "
        "more photos than yours.",
        f"{epochs}{'' if defaults.fine_tune_epochs else ', so this step is left out until you raise it'}. With the "
        f"freeze depth {defaults.freeze_depth}, {opened} and the head learn at {rate}, {slower} times lower "
        "than before. An epoch then takes much longer.",
        diagrams.opened_backbone(frozen_stages, defaults.freeze_depth),
    )


def judge() -> None:
    """Step 5: validation."""
    held_back = round(100 * VALIDATION_SHARE)
    step(
        "5 Judge it on photos it has never seen",
        "A network can learn its photos by heart. So some are held back: the **validation** photos. Nothing is learned "
        "from them. After each epoch they tell the **accuracy**, the share that the network gets right. Look at those "
        "it gets wrong: some are hard, some are in the wrong folder, some show what your photos lack. Then use it.",
        f"where there are no validation photos, {held_back} % of each class are held back. The epoch with the highest "
        "validation accuracy is the one that is saved. Photos in a third folder, *test*, have no say in that, so "
        "their accuracy is the most honest.",
        diagrams.judged_network(),
    )


def fit() -> None:
    """When transfer learning is the right tool."""
    well, badly = st.columns(2, gap="medium")
    with well:
        st.header("When it works well", anchor=False)
        st.markdown(
            "- Your photos resemble what the network has learned from: photos of animals and things.\n"
            "- You have few photos and little time.\n"
            "- What sets your classes apart is what one would look at anyway, such as fur, ears and faces."
        )
    with badly:
        st.header("When it does not", anchor=False)
        st.markdown(
            "- Your pictures are of another kind, such as X-rays or spectrograms. More stages must learn then, from "
            "many more pictures.\n"
            "- Your classes differ in something that the network never had to look at.\n"
            "- You train on photos unlike those of later use, such as studio portraits for snapshots."
        )


def bring() -> None:
    """How many photos it takes, and the way on."""
    words, figures = st.columns(2, gap="medium", vertical_alignment="center")
    with words:
        st.header("How many photos to bring", anchor=False)
        st.markdown(
            "A few dozen per class are enough to start. More help, but less and less. The figures are the starter's, "
            "with only the head trained, on 2,000 cats and dogs that it had not seen. It knows pets better than "
            "anything else: for other things take the ImageNet backbone, and more photos."
        )
    head = "| Photos to learn from, in all | New photos it gets right |\n| ---: | ---: |"
    rows = [f"| {photos:,} | {percent(accuracy)} |" for photos, accuracy in STARTER_ACCURACY.items()]
    figures.markdown("\n".join((head, *rows)))
    st.page_link(PAGES / "train.py", label="Train your own classifier", icon=":material/arrow_forward:")


with st.container(width=PAGE_WIDTH, gap="large"):
    with st.container(width=LINE_WIDTH):
        st.title("How it works", anchor=False)
        st.markdown(
            "A few dozen photos and a laptop are enough to teach a computer to tell cats from dogs, because Catdog "
            "does not start from nothing. It takes a network that already knows how to look at photos, and teaches "
            "it one thing more. This is called **transfer learning**, and it takes five steps."
        )
    for part in (see, replace, learn, fine_tune, judge, fit, bring):
        part()
