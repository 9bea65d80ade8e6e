"""What to read and what to emit: the pure heart of the tap. It knows no HTTP, no files and no clock but Twilio's."""
