"""Label maps: how they are stored, decoded, coloured and drawn."""
