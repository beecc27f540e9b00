"""Used by every layer: errors, typed parameters, extensions by name, progress, atomic files, locks, compilation."""
