"""From photographs to a folder of predictions, one photograph at a time; what is finished is not done again.

OUT/masks/NAME.png       class numbers at the photograph's own size, in VOC's colours
OUT/overlays/NAME.jpg    the mask over the photograph
OUT/heatmaps/NAME.png    the patch branch's probability of each class found (paper, Figure 6)
OUT/contact_sheet.png    those of the last command, on several pages where there are more than 18
OUT/summary.csv          a line a photograph: classes, confidence, percent of the pixels and score of each class
OUT/coco.json and others for labelling tools: see annotations.py
OUT/prediction.json      what made them: the model, its settings, versions
"""
