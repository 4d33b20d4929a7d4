"""The plan of a network: what it costs, and what it must not ask for."""

import copy
import json

import keras
import pytest
from helpers.made_models import layer_of, small_network

from catdog.classifier.building import build_classifier
from catdog.inspection import network_plans
from catdog.inspection.layer_costs import Unfit
from catdog.inspection.network_plans import check_plan
from catdog.network.backbone import published_network


def plan_of(model: keras.Model) -> dict:
    """The plan that Keras writes of a network."""
    return json.loads(json.dumps(keras.saving.serialize_keras_object(model)))


@pytest.fixture(scope="module")
def small() -> dict:
    return plan_of(small_network())


def refused(plan: dict) -> str:
    """What is said of a plan that is refused."""
    with pytest.raises(Unfit) as raised:
        check_plan(plan, 64)
    text = str(raised.value)
    assert text.isprintable()
    assert len(text) < 250
    return text


def changed(plan: dict, layer: str, **settings) -> dict:
    """The plan with other settings of a layer."""
    plan = copy.deepcopy(plan)
    layer_of(plan, layer)["config"] |= settings
    return plan


def test_the_cost_is_what_keras_makes_of_the_plan():
    model = build_classifier(published_network(), 2)
    cost = check_plan(plan_of(model), 224)
    assert cost.parameters == model.count_params()
    # The published count of ResNet-50 is 3.8 to 4.1 thousand million, without its smaller layers.
    assert 3.8e9 < cost.operations < 4.2e9
    # The three arrays of 56 x 56 places and 256 channels of a sum and what it adds.
    assert cost.values == 3 * 56 * 56 * 256


def test_the_cost_grows_with_the_photos_unless_the_network_says_their_size(small):
    assert check_plan(small, 128).operations > 3 * check_plan(small, 64).operations
    assert check_plan(small, None) == check_plan(small, 224)
    image = keras.Input((64, 64, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    fixed = plan_of(keras.Model(image, keras.layers.Dense(2, activation="softmax")(pooled)))
    assert check_plan(fixed, 512) == check_plan(fixed, 64)


@pytest.mark.parametrize(
    ("layer", "settings", "telling"),
    [
        ("logits", {"units": 10**9}, "logits with 1000000000 for 'units'"),
        ("logits", {"units": -1}, "-1 for 'units'"),
        ("logits", {"units": True}, "True for 'units'"),
        ("logits", {"units": 2.5}, "2.5 for 'units'"),
        ("logits", {"lora_rank": 10**6}, "'lora_rank'"),
        ("logits", {"activation": "mine>code"}, "'mine>code' for 'activation'"),
        ("logits", {"activation": {"class_name": "function", "config": "x"}}, "for 'activation'"),
        ("logits", {"quantization_config": {"class_name": "x"}}, "for 'quantization_config'"),
        ("convolution", {"filters": 1 << 40}, "for 'filters'"),
        ("convolution", {"kernel_size": [1000, 1000]}, "for 'kernel_size'"),
        ("convolution", {"kernel_size": [64, 64], "filters": 1 << 16}, "shrink to nothing|larger than any"),
        ("convolution", {"kernel_size": "ab"}, "for 'kernel_size'"),
        ("convolution", {"strides": 0}, "for 'strides'"),
        ("convolution", {"groups": 2}, "2 for 'groups'"),
        ("convolution", {"padding": "other"}, "for 'padding'"),
        ("convolution", {"data_format": "channels_first"}, "for 'data_format'"),
        ("convolution", {"dtype": "float64"}, "'float64' for 'dtype'"),
        ("convolution", {"kernel_initializer": {"module": "os", "class_name": "system", "config": {}}}, "'os'"),
        ("convolution", {"bias_initializer": {"class_name": "__lambda__", "config": {"value": "x"}}}, "__lambda__"),
        ("margin", {"padding": 10**9}, "for 'padding'"),
        ("margin", {"padding": [[1, 10**6], [0, 0]]}, "for 'padding'"),
        ("maximum", {"pool_size": [50, 50]}, "shrink to nothing"),
        ("maximum", {"strides": [0, 1]}, "for 'strides'"),
        ("normalization", {"axis": 1}, "1 for 'axis'"),
        ("normalization", {"momentum": float("nan")}, "nan for 'momentum'"),
        ("subtract_mean", {"offset": [0.0] * 1000}, "for 'offset'"),
        ("dropout", {"noise_shape": [10**9]}, "for 'noise_shape'"),
        ("dropout", {"seed": {"class_name": "Lambda"}}, "for 'seed'"),
        ("pooled", {"keepdims": True}, "for 'keepdims'"),
        ("image", {"batch_shape": [None, 100_000, 100_000, 3]}, "takes photos of 100000 pixels"),
        ("image", {"batch_shape": [None, 64, 65, 3]}, "its input is not"),
        ("image", {"batch_shape": [10**9, 64, 64, 3]}, "its input is not"),
        ("image", {"name": "other"}, "described in an unknown way"),
    ],
)
def test_settings_that_cost_or_do_what_they_must_not_are_refused(small, layer, settings, telling):
    with pytest.raises(Unfit, match=telling):
        check_plan(changed(small, layer, **settings), 64)
    refused(changed(small, layer, **settings))


@pytest.mark.parametrize("kind", ["Lambda", "TFSMLayer", "Embedding", "Functional", "InputLayer", "", None, 5, ["Add"]])
def test_layers_of_another_kind_are_refused(small, kind):
    plan = copy.deepcopy(small)
    layer_of(plan, "activation")["class_name"] = kind
    assert "of the kind" in refused(plan) or kind == "InputLayer"


@pytest.mark.parametrize(
    "whose", [{"module": "os"}, {"module": None}, {"module": "keras.layers.x"}, {"registered_name": "mine>Activation"}]
)
def test_layers_of_another_module_are_refused(small, whose):
    plan = copy.deepcopy(small)
    layer_of(plan, "activation").update(whose)
    assert "not Keras's own" in refused(plan)


def test_a_layer_built_for_more_than_it_gets_is_refused(small):
    plan = copy.deepcopy(small)
    layer_of(plan, "logits")["build_config"] = {"input_shape": [None, 10**9]}
    assert "built for another shape" in refused(plan)
    layer_of(plan, "logits")["build_config"] = {"shapes_dict": {}}
    assert "built for another shape" in refused(plan)


NO_PATH, NO_LAYERS, STRANGE_CALL = "from one input to one output", "which layers its network has", "isn't called as"
NO_CHAIN = [
    (lambda plan: plan["config"]["layers"].reverse(), NO_PATH),
    (lambda plan: plan["config"]["layers"].pop(3), "don't follow one another, at 'normalization'"),
    (lambda plan: plan["config"]["layers"].append(plan["config"]["layers"][3]), "at 'convolution'"),
    (lambda plan: plan["config"].update(layers=[]), NO_LAYERS),
    (lambda plan: plan["config"].update(layers=[5]), NO_LAYERS),
    (lambda plan: plan["config"].update(output_layers=[["nowhere", 0, 0]]), "it doesn't have, 'nowhere'"),
    (lambda plan: plan["config"].update(output_layers=[]), NO_PATH),
    (lambda plan: plan["config"].update(input_layers=[["image", 0, 0], ["image", 0, 0]]), NO_PATH),
    (lambda plan: plan["config"].update(extra=1), NO_LAYERS),
    (lambda plan: plan.update(class_name="Sequential"), "of the kind 'Sequential'"),
    (lambda plan: plan.update(module="os"), "of the kind 'Functional'"),
    (lambda plan: plan.update(registered_name="mine>Functional"), "of the kind 'Functional'"),
    (lambda plan: layer_of(plan, "sum")["inbound_nodes"].clear(), STRANGE_CALL),
    (
        lambda plan: layer_of(plan, "sum")["inbound_nodes"][0]["kwargs"].update(x={"class_name": "__lambda__"}),
        STRANGE_CALL,
    ),
    (
        lambda plan: layer_of(plan, "sum")["inbound_nodes"][0]["args"][0].append({"class_name": "__numpy__"}),
        STRANGE_CALL,
    ),
    (lambda plan: layer_of(plan, "sum").update(inbound_nodes=[["activation", 0, 0, {}]]), STRANGE_CALL),
    (lambda plan: layer_of(plan, "sum").update(shared_object_id=1), "described in an unknown way"),
]


@pytest.mark.parametrize(("change", "telling"), NO_CHAIN)
def test_a_network_that_is_no_chain_of_its_layers_is_refused(small, change, telling):
    plan = copy.deepcopy(small)
    change(plan)
    assert telling in refused(plan)


@pytest.mark.parametrize("nothing", [None, [], "x", {}, {"class_name": "Functional"}])
def test_what_is_no_plan_is_refused(nothing):
    assert "of the kind None" in refused(nothing) or NO_LAYERS in refused(nothing)


@pytest.mark.parametrize(
    ("limit", "least"), [("MOST_PARAMETERS", 137), ("MOST_OPERATIONS", 100_000), ("MOST_VALUES", 20_000)]
)
def test_what_costs_more_than_the_limits_is_refused(small, monkeypatch, limit, least):
    check_plan(small, 64)
    monkeypatch.setattr(network_plans, limit, least)
    assert "larger than any that this program makes" in refused(small)


def test_too_many_layers_are_refused(small, monkeypatch):
    monkeypatch.setattr(network_plans, "MOST_LAYERS", 11)
    assert "12 layers, and 11 are the most" in refused(small)


def test_layers_side_by_side_are_held_together_until_they_are_read(small):
    plan = copy.deepcopy(small)
    layers, names = plan["config"]["layers"], [f"branch{number}" for number in range(8)]
    for name in names:
        branch = copy.deepcopy(layer_of(plan, "convolution"))
        branch |= {"name": name, "config": {**branch["config"], "name": name, "filters": 64}}
        layers.insert(3, branch)
    branch_values, before = 32 * 32 * 64, check_plan(small, 64).values
    # Each is let go as soon as it is there, since nobody reads it.
    assert branch_values < check_plan(plan, 64).values < before + branch_values
    reader = copy.deepcopy(layer_of(plan, "sum"))
    (tensor, _) = reader["inbound_nodes"][0]["args"][0]
    tensors = [{**tensor, "config": {**tensor["config"], "keras_history": [name, 0, 0]}} for name in names]
    reader |= {"name": "reader", "config": {**reader["config"], "name": "reader"}, "build_config": None}
    reader["inbound_nodes"] = [{"args": [tensors], "kwargs": {}}]
    layers.append(reader)
    assert check_plan(plan, 64).values > 8 * branch_values
