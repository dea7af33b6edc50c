"""A picture of any game's position, as SVG, in which moves can be clicked."""
