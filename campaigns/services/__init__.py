"""What is done to a campaign: lifecycle moves its status, preflight looks before it leaps, test_send tries the texts."""
