"""What the tests of all methods may ask of a model that a method was given."""

from contextlib import contextmanager


@contextmanager
def untouched(model):
    """Modes, needs of gradients and values are the same after the block, and no gradient, hook or new forward is left."""
    modes = [module.training for module in model.modules()]
    needs = [parameter.requires_grad for parameter in model.parameters()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    yield
    assert [module.training for module in model.modules()] == modes
    assert [parameter.requires_grad for parameter in model.parameters()] == needs
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all((value == state[name]).all() for name, value in model.state_dict().items())
    assert not any(
        module._forward_hooks or module._forward_pre_hooks or "forward" in module.__dict__ for module in model.modules()
    )
