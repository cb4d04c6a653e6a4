"""The words of the page, a line each."""

WORDS = (
    ("neck", "the part of the detector that is compared: it merges the feature maps of the backbone"),
    ("arm", "what is compared: the runs of one configuration, which differ only in their seed"),
    ("contrast", "two arms that are compared: the figure of the first minus that of the second"),
    (
        "seed",
        "the number that fixes the initial weights and the order of the images; another one, another run",
    ),
    (
        "endpoint",
        "the figure that is compared; the primary one gives the verdicts, the others are exploratory",
    ),
    ("mAP50", "mean over the classes of average precision (AP), with a detection true from an IoU of 0.5 on"),
    ("AP by size", "mean over the classes and over IoU 0.50 to 0.95, for the objects of one range of sides"),
    ("interval", "holds the true difference in 95 of 100 such experiments, with other seeds and test images"),
    ("Holm", "a rule that keeps the probability of any wrong verdict among all contrasts at most at 5 %"),
    ("margin", "the smallest difference that matters, declared by the experiment"),
    ("escape", "an image with objects and no detection at all: a defective part that would pass"),
    ("overkill", "an image without objects that has a detection: a good part that would be rejected"),
    ("GFLOPs", "billions of operations per image, 2 for each multiplication with addition (2 x MAC)"),
)
"""(word, what it means)"""
