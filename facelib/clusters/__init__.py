"""Identity clusters: neighbours, the similarity floor, communities, and the table of every face's role."""
