"""Pictures whose causes are known (`shapes`, `scenes`), and photographs (`photos`).

Each is a submodule: ``from vizcourse.worlds import shapes``. Nothing is imported here, so that a program
that needs one does not pay for the others.
"""
