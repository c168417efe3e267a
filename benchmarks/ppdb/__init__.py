"""The PPDB whose every state is kept, side by side with the same tables that hold the latest rows only."""
