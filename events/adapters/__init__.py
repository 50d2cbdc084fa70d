"""What CRM and HR systems send, turned into canonical events. Pure: bytes in, events or a refusal out."""
