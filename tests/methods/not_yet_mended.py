"""Hostile inputs that were not yet refused in a sentence on 21 November 2026, by module: to be emptied, and then to go.

The marks are strict: a case that is mended must be taken off this list.
"""

NOT_YET_MENDED: dict[str, list[str]] = {
    "activation_patching": [
        "activation_patching.measure, target: one for all",
        "activation_patching.Runs.patch, tokens: another size",
        "activation_patching.sweep, target: one for all",
        "activation_patching.sweep, tokens: another size",
        "activation_patching.sweep, against: one for all",
        "activation_patching.attribute, target: one for all",
        "activation_patching.attribute, tokens: another size",
        "activation_patching.attribute, against: one for all",
        "activation_patching.path_patch, target: one for all",
    ],
    "convolution": [
        "convolution.cross_correlate, kernels: another size",
    ],
    "corruptions": [
        "corruptions.embedding_noise, layer: None",
    ],
}
