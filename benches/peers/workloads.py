"""The workloads of the comparison: sizes for the peers, and the program for nnc."""

# Operations are those of the products alone: six per weight and token (or place of an image), and attention's.
WORKLOADS = {
    "gpt": {
        "about": "character GPT, 4 layers, width 128, context 64, batch 12",
        "kind": "gpt",
        "program": "examples/shakespeare.nn",
        "unit": "tokens",
        "width": 128,
        "depth": 4,
        "heads": 4,
        "context": 64,
        "batch": 12,
    },
    "gpt-384": {
        "about": "character GPT, 6 layers, width 384, context 256, batch 8",
        "kind": "gpt",
        "program": "benches/peers/gpt_384.nn",
        "unit": "tokens",
        "width": 384,
        "depth": 6,
        "heads": 6,
        "context": 256,
        "batch": 8,
        "slow": 8,
    },
    "mlp": {
        "about": "MLP 784-512-512-10, batch 128",
        "kind": "mlp",
        "program": "benches/peers/mlp.nn",
        "unit": "samples",
        "shape": [28, 28],
        "batch": 128,
    },
    "resnet-20": {
        "about": "ResNet-20, images 3 x 32 x 32, batch 64",
        "kind": "resnet",
        "program": "benches/peers/resnet_20.nn",
        "unit": "samples",
        "shape": [3, 32, 32],
        "batch": 64,
        "slow": 8,
    },
    "lstm": {
        "about": "character LSTM, 256 units, context 128, batch 32",
        "kind": "recurrent",
        "program": "benches/peers/lstm.nn",
        "unit": "tokens",
        "cell": "lstm",
        "hidden": 256,
        "context": 128,
        "batch": 32,
        "slow": 4,
    },
    "gru": {
        "about": "character GRU, 256 units, context 128, batch 32",
        "kind": "recurrent",
        "program": "benches/peers/gru.nn",
        "unit": "tokens",
        "cell": "gru",
        "hidden": 256,
        "context": 128,
        "batch": 32,
        "slow": 4,
    },
}


def arrays(size, samples=2048):
    """Random images and labels."""
    import numpy

    draw = numpy.random.default_rng(7)
    images = draw.random([samples, *size["shape"]], dtype=numpy.float32)
    return images, draw.integers(0, 10, samples).astype(numpy.int32)
