"""Definitions to draw, and what an SVG says of where things are."""

from __future__ import annotations

import random
from typing import Any

REFUND: dict[str, Any] = {
    "StartAt": "Above the limit?",
    "States": {
        "Above the limit?": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.amount", "NumericGreaterThan": 10_000, "Next": "Ask the staff"}
            ],
            "Default": "Charge back",
        },
        "Ask the staff": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
            "Parameters": {"FunctionName": "ask_staff", "Payload": {"token.$": "$$.Task.Token"}},
            "TimeoutSeconds": 604_800,
            "Next": "Charge back",
        },
        "Charge back": {
            "Type": "Task",
            "Resource": "charge_back",
            "Retry": [{"ErrorEquals": ["Busy"], "MaxAttempts": 5}],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Release"}],
            "Next": "Cool down",
        },
        "Release": {"Type": "Task", "Resource": "release", "Next": "Not refunded"},
        "Not refunded": {"Type": "Fail", "Error": "RefundFailed"},
        "Cool down": {"Type": "Wait", "Seconds": 259_200, "Next": "Arrived?"},
        "Arrived?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.arrived", "BooleanEquals": False, "Next": "Cool down"}],
            "Default": "Tell all",
        },
        "Tell all": {
            "Type": "Parallel",
            "Branches": [
                {"StartAt": "Write", "States": {"Write": {"Type": "Pass", "End": True}}},
                {
                    "StartAt": "Each",
                    "States": {
                        "Each": {
                            "Type": "Map",
                            "ItemsPath": "$.lines",
                            "MaxConcurrency": 4,
                            "ItemProcessor": {
                                "StartAt": "Book",
                                "States": {
                                    "Book": {"Type": "Task", "Resource": "book", "End": True}
                                },
                            },
                            "End": True,
                        }
                    },
                },
            ],
            "Next": "Refunded",
        },
        "Refunded": {"Type": "Succeed"},
    },
}


def machine(seed: int, states: int, depth: int = 2) -> dict[str, Any]:
    """Make a machine of any shape: forks, joins, loops, ways out, branches within branches."""
    dice = random.Random(seed)
    number = iter(range(10_000))

    def block(count: int, depth: int) -> dict[str, Any]:
        names = [f"State {next(number)}" + " long" * dice.randrange(4) for _ in range(count)]
        made = {name: state(name, names, at, depth) for at, name in enumerate(names)}
        return {"StartAt": names[0], "States": made}

    def state(name: str, names: list[str], at: int, depth: int) -> dict[str, Any]:
        after = names[at + 1 :]
        kind = dice.choice(["Task", "Task", "Task", "Choice", "Choice", "Wait", "Box"])
        if not after:
            return {"Type": "Succeed"}
        if kind == "Choice":
            to = [dice.choice(names[1:]) for _ in range(dice.randrange(1, 4))]
            rules = [
                {"Variable": "$.a", "NumericEquals": n, "Next": one} for n, one in enumerate(to)
            ]
            return {"Type": "Choice", "Choices": rules, "Default": after[0]}
        way = {"Next": after[0]} if dice.random() < 0.9 else {"End": True}
        if kind == "Box" and depth:
            boxes = [block(dice.randrange(1, 4), depth - 1) for _ in range(dice.randrange(1, 4))]
            return {"Type": "Parallel", "Branches": boxes, **way}
        if kind == "Wait":
            return {"Type": "Wait", "Seconds": 60, **way}
        catch = [{"ErrorEquals": ["States.ALL"], "Next": dice.choice(names)}]
        return {"Type": "Task", "Resource": "work", "Catch": catch[: dice.randrange(2)], **way}

    return block(states, depth)
