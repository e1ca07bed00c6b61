"""What is reported of telling bona fide from spoofed speech."""
