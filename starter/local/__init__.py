"""The whole stack on one machine: for laptops, demonstrations and tests, never for production."""
