"""Labels as other tools and spreadsheets write them, made a folder of photographs: `apc data import`."""
