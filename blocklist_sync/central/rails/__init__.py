"""What must not pass unnoticed, and where it is looked for."""
