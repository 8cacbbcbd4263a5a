"""The HTTP door: takes jobs in, durable before the answer, and says what became of them."""
