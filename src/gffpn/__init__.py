"""gffpn: a fair comparison of feature-pyramid necks for small-defect detection."""
