"""What the tests of all methods may ask of a model that a method was given."""

from contextlib import contextmanager


def standing(model):
    """All on a model that a method could leave behind: modes, needs, values, gradients, hooks, forwards of its own."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "modes": [module.training for module in model.modules()],
        "needs": [parameter.requires_grad for parameter in model.parameters()],
        "hooks": [[list(getattr(module, kind)) for kind in hooks] for module in model.modules()],
        "forwards": ["forward" in module.__dict__ for module in model.modules()],
        "parts": [name for name, _ in model.named_modules()],
    }


@contextmanager
def untouched(model):
    """Modes, needs of gradients, values and gradients are the same after the block, and no hook or new forward is left."""
    before = standing(model)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    gradients = [None if parameter.grad is None else parameter.grad.clone() for parameter in model.parameters()]
    yield
    assert standing(model) == before
    assert all((value == state[name]).all() for name, value in model.state_dict().items())
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert (parameter.grad is None) == (gradient is None)
        assert gradient is None or (parameter.grad == gradient).all()
