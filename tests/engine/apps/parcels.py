"""Parcels of any size, taken in batches."""

from wherry import App, Batch, Struct

app = App("parcels")


class Parcel(Struct):
    name: str
    text: str = ""


class Arrived(Struct):
    name: str
    length: int = 0


arrived = app.table(Arrived, key="name")
parcels = app.queue(Parcel, claim_check=True, max_attempts=2, retry_base_s=0.02, retry_max_s=0.02)


@app.post("/parcels/{name}", status=202, grants=[parcels.send])
def send(name: str, length: int) -> str:
    return parcels.send(Parcel(name, "x" * length))


@app.consume(parcels, batch=5, grants=[arrived.write])
def take(batch: Batch[Parcel]) -> None:
    for item in batch:
        with item as parcel:
            arrived.put(Arrived(parcel.name, len(parcel.text)))
            if parcel.name == "broken":
                raise ValueError("broken")


@app.get("/parcels/{name}", grants=[arrived.read])
def look(name: str) -> Arrived:
    return arrived.get(name) or Arrived(name)
