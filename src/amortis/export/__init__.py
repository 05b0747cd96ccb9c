"""What leaves the house: fits and guides in the forms of other libraries."""
