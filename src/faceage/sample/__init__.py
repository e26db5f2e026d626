"""The built-in sample: synthetic faces, so that everything runs before there are photographs."""
