# The environments of one project read a bucket.

module "idp_provider" {
  source = "../../modules/oidc-provider"

  issuer = "https://idp.example.com"
}

module "idp_role" {
  source = "../../modules/role"

  name                     = "web-environments"
  provider_arn             = module.idp_provider.arn
  issuer                   = module.idp_provider.issuer
  organization_id          = "0191e223-1c3c-7607-badf-303c98b52d2f"
  project_id               = "019527e4-75d5-704d-a5a4-a2b52cf56198"
  session_tags             = true
  source_identity          = true
  max_session_duration     = 7200
  permissions_boundary_arn = "arn:aws:iam::123456789012:policy/environments"

  permission_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = "s3:ListBucket"
        Resource = "arn:aws:s3:::my-bucket"
      },
      {
        Effect   = "Allow"
        Action   = "s3:GetObject"
        Resource = "arn:aws:s3:::my-bucket/read-prefix/*"
      },
    ]
  })
}

output "role_arn" {
  description = "What `idp login aws --role-arn` takes."
  value       = module.idp_role.arn
}
