//! Recipes, plans, stages and the report: from a folder of text to a bundle.
