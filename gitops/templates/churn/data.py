"""Make the customers, of whom some leave. They are invented by the rule below: nobody's records are in them.

`python data.py` tells what was made, and how well the rule itself would do as a model.
"""

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

LABEL = "churned"
# What the rule looks at, and two columns it does not.
NUMBERS = ["tenure_months", "monthly_charge", "support_calls", "late_payments", "age", "data_gb", "distance_km", "devices"]
WORDS = ["contract", "payment"]
_CONTRACTS = {"monthly": 1.6, "yearly": -0.8, "two years": -2.4}
_PAYMENTS = {"card": 0.0, "transfer": 0.0, "invoice": 0.8}
_DEAR = 80.0


def make_customers(count: int, *, seed: int) -> pd.DataFrame:
    """Return so many customers, with 1 as `churned` for those who leave; the same seed makes the same ones."""
    dice = np.random.default_rng(seed)
    customers = pd.DataFrame(
        {
            "tenure_months": dice.integers(1, 73, count).astype(float),
            "monthly_charge": dice.normal(65, 20, count).clip(15, 130).round(2),
            "support_calls": dice.poisson(1.2, count).astype(float),
            "late_payments": dice.poisson(0.6, count).astype(float),
            "age": dice.integers(18, 81, count).astype(float),
            "data_gb": dice.gamma(2.0, 8.0, count).round(1),
            "distance_km": dice.exponential(12.0, count).round(1),
            "devices": dice.integers(1, 9, count).astype(float),
            "contract": dice.choice(list(_CONTRACTS), count, p=[0.5, 0.3, 0.2]),
            "payment": dice.choice(list(_PAYMENTS), count, p=[0.5, 0.3, 0.2]),
        }
    )
    # The noise: who leaves is drawn with that chance, so that two customers alike may differ.
    return customers.assign(**{LABEL: (dice.random(count) < chance_to_leave(customers)).astype(int)})


def chance_to_leave(customers: pd.DataFrame) -> pd.Series:
    """Return the chance with which each customer leaves: all the signal there is, known here because we made it."""
    is_monthly, is_dear = customers["contract"] == "monthly", customers["monthly_charge"] > _DEAR
    score = (
        -4.6
        - 0.09 * (customers["tenure_months"] - 36)
        + 0.04 * (customers["monthly_charge"] - 65)
        + 0.9 * customers["support_calls"]
        + 1.2 * customers["late_payments"]
        + customers["contract"].map(_CONTRACTS).astype(float)
        + customers["payment"].map(_PAYMENTS).astype(float)
        # What no straight line shows: a dear contract that can be left any month.
        + 2.5 * (is_monthly & is_dear)
    )
    return 1 / (1 + np.exp(-score))


def describe(customers: pd.DataFrame) -> str:
    """Return what was made, in a few lines."""
    chance, left = chance_to_leave(customers), customers[LABEL]
    guess = (chance >= 0.5).astype(int)
    return "\n".join(
        (
            f"{len(customers)} invented customers, {left.mean():.1%} of whom leave",
            f"the rule itself, as a model: F1 {f1_score(left, guess):.3f}, accuracy {accuracy_score(left, guess):.3f}, "
            f"ROC-AUC {roc_auc_score(left, chance):.3f}",
            f"nobody leaves, as a model: F1 0, accuracy {1 - left.mean():.3f}, ROC-AUC 0.5",
        )
    )


if __name__ == "__main__":
    print(describe(make_customers(3000, seed=42)))
