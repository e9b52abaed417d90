"""Reports: tables, figures and the page, all made from records."""
