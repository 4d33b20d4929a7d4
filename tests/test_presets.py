import pytest

from catdog.presets import PRESETS, find_preset
from catdog.settings import SETTINGS, TrainConfig, rate_steps


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_is_valid_and_can_be_shown_as_it_is(name):
    settings = PRESETS[name].settings
    config = TrainConfig(**settings).as_dict()
    assert {key: config[key] for key in settings} == settings
    for key, value in settings.items():
        assert not key.endswith("learning_rate") or value in rate_steps(SETTINGS[key])


def test_presets_leave_alone_what_is_no_way_to_learn():
    for preset in PRESETS.values():
        assert not {"data", "backbone", "bfloat16", "seed"} & preset.settings.keys()
        assert {"head_epochs", "head_learning_rate", "fine_tune_epochs", "augment"} <= preset.settings.keys()


def test_a_preset_is_recognized_until_a_setting_of_it_differs():
    defaults = {name: field.default for name, field in SETTINGS.items()}
    assert find_preset(defaults) == "quick"
    for name, preset in PRESETS.items():
        settings = {**defaults, **preset.settings}
        assert find_preset(settings) == name
        assert find_preset({**settings, "seed": 7, "backbone": "starter"}) == name
        for key, value in preset.settings.items():
            other = "none" if key == "freeze_depth" else "mirror" if value == "none" else "none"
            changed = {**settings, key: other if isinstance(value, str) else value + 1}
            assert find_preset(changed) != name, key


def test_quick_is_quick_whatever_the_freeze_depth():
    defaults = {name: field.default for name, field in SETTINGS.items()}
    assert find_preset({**defaults, "freeze_depth": "none", "fine_tune_learning_rate": 0.1}) == "quick"
