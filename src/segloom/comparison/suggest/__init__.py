"""What the labels of a data set suggest comparing."""
