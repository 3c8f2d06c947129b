"""A synthetic drive along a textured street: pictures with exact depth, poses, intrinsics and a second eye."""
