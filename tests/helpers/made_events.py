"""Made-up events of runs, for what is drawn of them and said about them."""


def step(phase="head", epoch=1, step=1, steps=4, loss=0.5, accuracy=0.75, **other):
    """A step's event."""
    return {"event": "step", "phase": phase, "epoch": epoch, "step": step, "steps": steps} | {
        "loss": loss,
        "accuracy": accuracy,
        **other,
    }


def epoch(phase="head", epoch=1, loss=0.2, accuracy=0.97, val_loss=0.1, val_accuracy=0.98, **other):
    """A whole epoch's event."""
    return {"event": "epoch", "phase": phase, "epoch": epoch, "loss": loss, "accuracy": accuracy} | {
        "val_loss": val_loss,
        "val_accuracy": val_accuracy,
        "epochs": 10,
        "learning_rate": 0.001,
        "seconds": 1.5,
        **other,
    }


RUN = [
    {"event": "phase", "phase": "head"},
    step(step=1, loss=1.5, accuracy=0.25),
    step(step=4, loss=0.25, accuracy=0.75),
    epoch(epoch=1, loss=0.4, accuracy=0.8, val_loss=0.11, val_accuracy=0.97),
    epoch(epoch=2, loss=0.2, accuracy=0.97, val_loss=0.06, val_accuracy=0.98),
    {"event": "phase", "phase": "fine-tune"},
    step("fine-tune", epoch=1, step=1, loss=0.125, accuracy=1),
    epoch("fine-tune", epoch=1, loss=0.1, accuracy=0.99, val_loss=0.0042, val_accuracy=0.9876),
    {"event": "progress", "done": 3, "total": 7, "per_second": 1.5},
]


def long_run(steps: int, epochs: int, best: int = 334) -> list[dict]:
    """Events of a run with that many steps, all in its first epoch, and that many epochs, one of them the best."""
    return [
        *(step(step=number, steps=steps, loss=0.1 + number % 7) for number in range(1, steps + 1)),
        *(epoch(epoch=number, val_accuracy=0.9 + 0.05 * (number == best)) for number in range(1, epochs + 1)),
    ]
