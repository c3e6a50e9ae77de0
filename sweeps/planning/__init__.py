"""What a study will run and what that takes: plan and render, estimates, calibration."""
