"""An app that takes two requests of each client at once."""

from wherry import App

app = App("gate")
app.throttle(rate_per_s=0.1, burst=2)


@app.get("/")
def look() -> str:
    return "open"
