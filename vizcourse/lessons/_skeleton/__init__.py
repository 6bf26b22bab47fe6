"""What `vizcourse new` copies: a whole little lesson, one of each thing that a lesson has. Its number is 00."""
