"""What people read: figures, the page, the cards, a comparison in words."""
