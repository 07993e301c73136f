"""What each opcode does, as functions of a frame; machine.py tells the convention. The fork tables name them."""
