"""The new final layer: multinomial logistic regression, fitted to convergence, its penalty chosen by folds.

Takes features float32 (n, d) and labels; gives weights (d, k), bias (k,) and out-of-fold logits (n, k) whose
penalty was chosen without the row they belong to. NumPy alone. May import `config`, `metrics`, `progress`
and `errors`. One kind of head on purpose: a well-chosen penalty matters more than the kind.
"""
