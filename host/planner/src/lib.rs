//! From the text of a pipeline to a plan: reads it, finds its plugins, checks everything.
