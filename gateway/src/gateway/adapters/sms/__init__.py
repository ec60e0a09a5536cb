"""What SMS gateways hand over: texts of people, and AML messages of their handsets."""
