"""Who is in, who asks to come in, and who has left."""
