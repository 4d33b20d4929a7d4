"""A step of gradient descent, and a prediction, as compiled functions: on one device, or shared by several GPUs."""

from collections.abc import Callable

import keras
import tensorflow as tf

from catdog.network.folded import fold


def strategy_of_devices() -> tf.distribute.Strategy:
    """How learning is spread: over all GPUs where TensorFlow sees several, else on the one device that it chooses."""
    devices = several_gpus()
    return tf.distribute.MirroredStrategy(devices) if devices else tf.distribute.get_strategy()


def several_gpus() -> list[str]:
    """The names of the GPUs that TensorFlow sees, where there is more than one."""
    names = [device.name for device in tf.config.list_logical_devices("GPU")]
    return names if len(names) > 1 else []


def on_devices(network: keras.Model, strategy: tf.distribute.Strategy) -> keras.Model:
    """The network itself or, for several devices, a copy of which each has one; variables keep path and value."""
    if strategy.num_replicas_in_sync == 1:
        return network
    with strategy.scope():
        copy = keras.models.clone_model(network)
        copy.set_weights(network.get_weights())
    return copy


def compiled_step(
    network: keras.Model, optimizer: keras.Optimizer, strategy: tf.distribute.Strategy | None = None
) -> Callable:
    """One step of gradient descent on a batch and its labels; gives the mean loss and the number that were right.

    On several devices each takes a part of the batch, and all go the same step, which is the one that a single device
    would go but for rounding and for what dropout leaves out.
    """
    variables = network.trainable_variables
    # Folded in each step, so that gradients reach the convolutions through their batch normalization.
    folded = fold(network, fixed=False)

    def descend(batch: tf.Tensor, labels: tf.Tensor, mean: Callable) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            (logits,) = folded(batch, training=True)
            one_hot = tf.one_hot(labels, logits.shape[-1])
            # Categorical cross-entropy of the softmax, from logits since that is exact where probabilities round.
            loss = mean(tf.nn.softmax_cross_entropy_with_logits(one_hot, logits))
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss, tf.cast(tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels), tf.float32)

    def alone(batch: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        loss, right = descend(batch, labels, tf.reduce_mean)
        return loss, tf.reduce_sum(right)

    def together(batch: tf.Tensor, labels: tf.Tensor) -> list[tf.Tensor]:
        count = tf.shape(labels)[0]
        # The first photo fills up what can't be shared evenly, and counts for nothing there.
        missing = -count % strategy.num_replicas_in_sync
        weights = tf.concat([tf.ones(count), tf.zeros(missing)], 0)
        batch, labels = (tf.concat([each, tf.repeat(each[:1], missing, 0)], 0) for each in (batch, labels))

        def descend_on_part(batch: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # Keras adds up the devices' gradients, so that these are shares of the mean over the whole batch.
            total = tf.cast(count, tf.float32)
            loss, right = descend(batch, labels, lambda losses: tf.reduce_sum(weights * losses) / total)
            return loss, tf.reduce_sum(weights * right)

        parts = (shared_out(each, strategy) for each in (batch, labels, weights))
        return [strategy.reduce("SUM", each, axis=None) for each in strategy.run(descend_on_part, args=tuple(parts))]

    shape = (None, *network.inputs[0].shape[1:])
    one_device = strategy is None or strategy.num_replicas_in_sync == 1
    signature = [tf.TensorSpec(shape, tf.float32), tf.TensorSpec((None,), tf.int32)]
    return tf.function(alone if one_device else together, input_signature=signature)


def shared_out(values: tf.Tensor, strategy: tf.distribute.Strategy) -> tf.distribute.DistributedValues:
    """Values in as many even parts as there are devices, one for each."""
    parts = tf.split(values, strategy.num_replicas_in_sync)
    return strategy.experimental_distribute_values_from_function(lambda here: parts[here.replica_id_in_sync_group])


def compiled_prediction(network: keras.Model) -> Callable:
    """Probabilities (n, classes) of a batch, in inference mode, with the variables as they are at each call."""
    folded = fold(network, fixed=False)

    @tf.function(input_signature=[tf.TensorSpec((None, *network.inputs[0].shape[1:]), tf.float32)])
    def predict(batch: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(folded(batch)[0])

    return predict
