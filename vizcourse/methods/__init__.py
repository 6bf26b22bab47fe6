"""The methods of the course, one module each: tensors, modules and layer names in; tensors and small dataclasses out."""
