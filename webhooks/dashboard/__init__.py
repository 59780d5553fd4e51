"""The pages for people: what runs where, what is moving, what was recorded. Reads the store; changes nothing."""
