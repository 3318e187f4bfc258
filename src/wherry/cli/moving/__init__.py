"""The move of a team's data from the folder of one machine to a Postgres that several share."""
