"""The lessons, one room each: text, exercises, widgets, study. `vizcourse.course` lists them."""
