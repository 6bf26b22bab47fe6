"""Interactive explorers, one module a lesson, on the base class in :mod:`vizcourse.widgets.core`."""
