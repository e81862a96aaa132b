"""SyncNet: does this mouth match this sound? (Chung and Zisserman 2016, re-trained as in the paper's section 3.4).

One is the expert in the losses and gives AV-CAT its E_a; another, the evaluator, only measures. It draws nothing.
"""
