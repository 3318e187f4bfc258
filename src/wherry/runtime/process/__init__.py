"""What a forked environment does to itself, and how a zygote forks, reaps and ends it."""
